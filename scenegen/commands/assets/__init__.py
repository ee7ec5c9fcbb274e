"""`scenegen assets ...`: one file for each subcommand."""

from scenegen.commands.assets.check import Check
from scenegen.commands.assets.fetch import Fetch
from scenegen.commands.assets.list import List
from scenegen.commands.assets.notice import Notice
from scenegen.commands.assets.prepare import Prepare

__all__ = ["Check", "Fetch", "List", "Notice", "Prepare"]
