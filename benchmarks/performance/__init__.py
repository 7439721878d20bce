"""Speed: each module measures one thing; `python -m benchmarks.performance` runs all."""
