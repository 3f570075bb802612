"""Pure decisions: a snapshot and a clock in, ordered steps and conditions out."""
