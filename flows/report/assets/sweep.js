function sweepPage() { return []; } function difference() {}
