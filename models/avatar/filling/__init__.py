"""What the photo hides painted at rest: closed holes in the cloth beside them (guided exemplar synthesis)."""
