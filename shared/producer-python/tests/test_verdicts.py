"""What is refused here is what the projector rejects, with the same reason and place."""

import json
import unittest
from pathlib import Path

from tidings_producer import Catalog, PublishedEvent

VERDICTS = Path(__file__).parents[2] / "types" / "tests" / "verdicts.json"


class Verdicts(unittest.TestCase):
    def test_each_verdict_is_the_projectors(self) -> None:
        read = json.loads(VERDICTS.read_text())
        catalogs = {checks["tenant"]: Catalog(checks) for checks in read["catalogs"]}
        other = []
        for tenant, name, data, reason, pointer in read["cases"]:
            event = PublishedEvent("e", "/s", name, "1970-01-01T00:00:00Z", None, data)
            found = catalogs[tenant].check(event)
            verdict = (found.reason, found.pointer) if found else (None, None)
            if verdict != (reason, pointer):
                other.append((tenant, name, data, (reason, pointer), found))
        self.assertEqual(other, [])
        self.assertGreater(len(read["cases"]), 850)


if __name__ == "__main__":
    unittest.main()
