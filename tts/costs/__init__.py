"""What a request costs: operations and bytes, seconds and dollars."""
