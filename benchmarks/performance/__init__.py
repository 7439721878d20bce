"""Speed: each module measures one thing and returns rows; `python -m benchmarks.performance` runs all."""
