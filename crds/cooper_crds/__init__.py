"""What every part of Cooper agrees on: resources, records, names, actions and conditions. No I/O, no clock."""
