"""What may leave the machine: editions of the datasets, the gate before them, the Hub, and the way back."""
