"""What a run needs before it begins: engines and verifiers opened, arguments checked."""
