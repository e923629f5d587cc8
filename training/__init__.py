"""SFT and GRPO on the shards; knows nothing of the builders apart from the row schemas."""
