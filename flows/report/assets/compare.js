function comparePage() { return []; }
