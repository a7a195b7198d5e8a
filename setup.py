"""Puts the workflow into the wheel, so that `mprd run` works without the repository."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithWorkflow(build_py):
    """Copies `workflow/` beside the modules; an editable install uses the repository's."""

    def run(self) -> None:
        """Build the package."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "mprd" / "workflow"
            shutil.copytree("workflow", target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithWorkflow})
