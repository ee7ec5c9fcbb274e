from tests.complete.conftest import tiny_checkpoint

__all__ = ["tiny_checkpoint"]  # fixtures
