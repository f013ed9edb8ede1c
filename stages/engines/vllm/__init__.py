"""The `vllm` engine: vLLM inside the process."""
