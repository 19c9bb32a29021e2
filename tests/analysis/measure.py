"""Times one query per table of `whence sql` on a root that `synthetic` wrote.

    python3 tests/analysis/measure.py target/release/whence ROOT

Prints, for each query, the median wall time of three runs and the peak of the resident memory.
"""

import os
import statistics
import subprocess
import sys
import time

WHENCE, ROOT = sys.argv[1:3]

QUERIES = {
    "jobs": "SELECT method, rows, bytes FROM jobs ORDER BY rows",
    "runs": "SELECT method, attributed_fn, step_scores FROM runs",
    "examples": "SELECT method, count(*) AS examples, avg(cardinality(source_tokens)) AS length FROM examples GROUP BY method",
    "steps": "SELECT token, count(*) AS times FROM steps GROUP BY token ORDER BY times DESC LIMIT 10",
    "step_scores": "SELECT step, avg(score) AS mean FROM step_scores WHERE name = 'probability' GROUP BY step ORDER BY step",
    "tokens": "SELECT token, count(*) AS times FROM tokens WHERE side = 'source' GROUP BY token ORDER BY times DESC LIMIT 10",
    "attributions": "SELECT side, count(*) AS scores, avg(score) AS mean FROM attributions GROUP BY side",
    "attributions, share": "SELECT step, sum(share) / count(DISTINCT example_id) AS source_share FROM attributions WHERE side = 'source' AND method = 'attention' GROUP BY step ORDER BY step",
    "alignments": "SELECT target_token, source_token, count(*) AS times FROM alignments WHERE side = 'source' AND rank = 1 GROUP BY target_token, source_token ORDER BY times DESC LIMIT 10",
    "token_stats": "SELECT token, mean, scores FROM token_stats WHERE side = 'source' ORDER BY mean * scores DESC LIMIT 10",
    "word_attributions": "SELECT target_word - source_word AS distance, avg(share) AS mean FROM word_attributions WHERE side = 'source' GROUP BY distance ORDER BY distance",
    "failures": "SELECT kind, code, count(*) AS times FROM failures GROUP BY kind, code",
}


def run(query):
    """Returns the seconds and the peak resident memory in MiB that a query takes."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [WHENCE, "sql", "--root", ROOT, "--format", "csv", query], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"the query failed: {query}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


print("| table | seconds | peak MiB | query |\n|---|---|---|---|")
for table, query in QUERIES.items():
    seconds, peaks = zip(*(run(query) for _ in range(3)))
    print(f"| {table} | {statistics.median(seconds):.2f} | {max(peaks):.0f} | `{query}` |", flush=True)
