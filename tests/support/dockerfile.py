"""The Dockerfile, and the files of a clone that it copies into its build."""

import re

from tests.support import ROOT

#: Without comments, one instruction a line.
DOCKERFILE = re.sub(
    r'^\s*#.*\n|\\\n',
    '',
    (ROOT / 'docker' / 'Dockerfile').read_text(),
    flags=re.MULTILINE,
)


def copied_sources() -> set[str]:
    """Return the files and folders of a clone that are copied, by their names."""
    copies = re.findall(r'^COPY (?!--from)(.*) \S+$', DOCKERFILE, flags=re.MULTILINE)
    return {source for copy in copies for source in copy.split()}
