"""The policy pack: what a program may declare, on the same catalogue as the gate."""
