"""What is published, and how it gets there: what `make supply-chain` does."""

from __future__ import annotations

import sys
from functools import partial

from dist import dist
from environments import ROOT, environment, main, run, tools_environment
from results import Results
from sbom import sbom

NAME = "make supply-chain"
BANDIT = ("-m", "bandit", "--quiet", "--recursive", "src")
ZIZMOR = ("--quiet", "--offline", "--pedantic", ".github")
SOURCES = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "tests/test_supply_chain.py")


def supply_chain() -> None:
    """Run every check, also when one has failed."""
    results = Results(NAME)
    results.step("two builds alike, wheel contents", dist)
    results.step("SBOM, dependencies alone", partial(sbom, ROOT / "dist"))
    sources = partial(run, tools_environment(), *SOURCES, failure="a promise is broken (see above)")
    results.step("sources, pins and permissions", sources)
    tools = environment("supply_chain", "supply_chain")
    results.step("bandit", partial(run, tools, *BANDIT, failure="bandit has findings (see above)"))
    results.step("zizmor", partial(run, tools.with_name("zizmor"), *ZIZMOR, failure="zizmor has findings (see above)"))
    results.close()


if __name__ == "__main__":
    sys.exit(main(NAME, supply_chain))
