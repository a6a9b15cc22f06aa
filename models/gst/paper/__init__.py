"""The paper's body network: HMR 2.0's vision transformer and decoder, and its weights."""
