"""Of vllm/exceptions.py; a request's fault is no ValueError there."""


class VLLMClientError(Exception):
    pass


class VLLMValidationError(VLLMClientError):
    pass
