"""FERBench: a model's replies to the benchmark, read, scored and compared. Stands at the end of the way of a face."""
