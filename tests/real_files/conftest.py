from tests.complete.conftest import one_thread, tiny_checkpoint

__all__ = ["one_thread", "tiny_checkpoint"]  # fixtures
