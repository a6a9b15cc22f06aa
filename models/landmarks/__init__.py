"""Landmarks of body, hands and face by MediaPipe's networks, which `turnaround fetch` brings."""
