"""What is pure in the bench: pairs, spreads, verdicts, rows. `python3 -m unittest discover -s bench`; scripts/check runs it."""
import contextlib, io, json, os, tempfile, unittest

import bench, tables


def record(name, rep=0, series=1, **steps):
    return {"name": name, "series": series, "rep": rep, **steps}


def by(*records):
    return {name: {(0, r["series"], r["rep"]): r for r in records if r["name"] == name} for name in {r["name"] for r in records}}


def full_load(*us):
    return [{"cpu_us_per_req": x, "rps": 1e6 / x} for x in us]


class Pairs(unittest.TestCase):
    def test_a_turn_is_held_against_the_other_ones_same_turn(self):
        # The machine halves its speed in the second turn: of the medians the ratio would be 30 / 15.
        n, h = {1: 10, 2: 20, 3: 10}, {1: 15, 2: 30, 3: 15}
        self.assertEqual(tables.ratios(h, n), {1: 1.5, 2: 1.5, 3: 1.5})

    def test_a_turn_only_one_has_is_no_pair(self):
        self.assertEqual(tables.less({1: 5, 2: 5}, {2: 3, 3: 1}), {2: 2})

    def test_nothing_is_divided_by_nothing(self):
        self.assertEqual(tables.ratios({1: 5, 2: 5, 3: 5}, {1: 0, 2: -1, 3: 2}), {3: 2.5})

    def test_turns_of_another_round_or_series_are_another_pair(self):
        rows = by(record("a", max=full_load(1, 2)), record("a", rep=1, max=full_load(3)), record("a", series=2, max=full_load(4)))["a"]
        seen = tables.seen(rows, "max", tables.cpu)
        self.assertEqual(seen, {((0, 1, 0), 0): 1, ((0, 1, 0), 1): 2, ((0, 1, 1), 0): 3, ((0, 2, 0), 0): 4})

    def test_what_was_not_measured_is_left_out(self):
        rows = by(record("a", max=[{"error": "no answer"}, {"cpu_us_per_req": 7}]))["a"]
        self.assertEqual(list(tables.seen(rows, "max", tables.cpu).values()), [7])
        self.assertEqual(tables.seen(rows, "big", tables.cpu), {})
        self.assertEqual(tables.seen(rows, None, lambda r: r["start_ms"]), {})


class Verdicts(unittest.TestCase):
    def test_at_the_goal_passes_and_past_it_does_not(self):
        self.assertEqual(tables.verdict({1: 1.5}, "<=", 1.5), "pass")
        self.assertEqual(tables.verdict({1: 1.51}, "<=", 1.5), "**no**")
        self.assertEqual(tables.verdict({1: 0.65}, ">=", 0.65), "pass")
        self.assertEqual(tables.verdict({1: 0.64}, ">=", 0.65), "**no**")

    def test_a_spread_on_both_sides_of_the_goal_is_an_edge(self):
        self.assertEqual(tables.verdict({1: 1.4, 2: 1.45, 3: 1.6}, "<=", 1.5), "edge (pass)")
        self.assertEqual(tables.verdict({1: 1.4, 2: 1.55, 3: 1.6}, "<=", 1.5), "edge (**no**)")
        self.assertEqual(tables.verdict({1: 1.6, 2: 1.7}, "<=", 1.5), "**no**")

    def test_without_figures_or_goal_there_is_none(self):
        self.assertEqual(tables.verdict({}, "<=", 1.5), "-")
        self.assertEqual(tables.verdict({1: 2}, None, None), "-")


class Rows(unittest.TestCase):
    def rows(self, *records):
        return {one[0]: tables.row(*one) for one in tables.rows(by(*records), 30)}

    def test_a_ratio_is_the_median_of_the_pairs_with_its_spread_beside_it(self):
        rows = self.rows(record("nginx", max=full_load(10, 20, 10)), record("hapax", max=full_load(14, 28, 16)))
        self.assertEqual(rows["CPU per request at full load, us, x nginx"],
                         ["CPU per request at full load, us, x nginx", "10.0", "16.0", "1.40", "1.40 – 1.60", "3", "<= 1.5", "edge (pass)"])

    def test_what_direct_takes_is_taken_off_in_the_same_turn(self):
        late = lambda *us: [{"over_us": {"p50": x, "p99": 9 * x}} for x in us]
        rows = self.rows(record("direct", rate=late(100)), record("direct", rep=1, rate=late(200)),
                         record("nginx", rate=late(150)), record("nginx", rep=1, rate=late(300)),
                         record("hapax", rate=late(155)), record("hapax", rep=1, rate=late(310)))
        self.assertEqual(rows["added p50 at 200/s, us, x nginx"][1:], ["75", "82", "1.10", "1.10 – 1.10", "2", "<= 1.2", "pass"])

    def test_a_difference_is_one_of_pairs_too(self):
        chunks = lambda us: [{"chunk_delay_us": {"p99": us}, "streams_failed": 0}]
        rows = self.rows(record("nginx", sse500=chunks(300)), record("nginx", rep=1, sse500=chunks(900)), record("nginx", rep=2, sse500=chunks(100)),
                         record("hapax", sse500=chunks(350)), record("hapax", rep=1, sse500=chunks(950)), record("hapax", rep=2, sse500=chunks(350)))
        self.assertEqual(rows["500 streams: chunk p99, ms, over nginx's"][1:], ["0.30", "0.35", "0.05", "0.05 – 0.25", "3", "<= 0.1", "edge (pass)"])

    def test_one_failure_of_many_turns_is_seen(self):
        crowd = [{"bad_status": n, "io_err": 0, "rps": 1.0, "lat_us": {"p99": 1.0}} for n in (0, 0, 2)]
        rows = self.rows(record("hapax", crowd3000=crowd))
        self.assertEqual(rows["3,000 callers: failed"][2:], ["2", "2", "0 – 2", "3", "0", "**no**"])

    def test_a_figure_of_a_round_has_its_spread_over_the_rounds(self):
        rows = self.rows(*(record("hapax", rep=n, idle_kb=1024 * mb, rested_kb=2048 * mb) for n, mb in enumerate((3, 5, 4))))
        self.assertEqual(rows["resident idle, MB"][2:], ["4.00", "4.00", "3.00 – 5.00", "3", "<= 4", "edge (pass)"])
        self.assertEqual(rows["resident 30 s after the series, x idle"][3:], ["2.00", "2.00 – 2.00", "3", "<= 1.5", "**no**"])

    def test_a_series_of_one_step_still_has_its_tables(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
            name = os.path.join(folder, "a.jsonl")
            with open(name, "w") as file:
                for one in (record("nginx", max=full_load(10)), record("hapax", max=full_load(13)), record("hapax", rep=1, error="did not start", max=full_load(99))):
                    file.write(json.dumps(one) + "\n")
            tables.table([name])
            tables.goals([name], 30)
        self.assertIn("| hapax | - | - | - | 76,923 | 76,923 – 76,923 |", out.getvalue())
        self.assertIn("| CPU per request at full load, us, x nginx | 10.0 | 13.0 | 1.30 | 1.30 – 1.30 | 1 | <= 1.5 | pass |", out.getvalue())


class Turns(unittest.TestCase):
    """The order of the gateways, and what is repeated: a round with gateways that only say that they were asked."""

    class One:
        def __init__(self, name, asked, foreign):
            self.name, self.asked, self.foreign, self.rec = name, asked, foreign, {}

        def takes(self, key):
            return True

        def resident(self, name):
            self.rec[name] = True

        def measure(self, load, mocks, others):
            self.asked.append(self.name)
            return {"foreign": self.foreign.pop(0)}

    class Calm:
        quiet = staticmethod(lambda: None)

        def __init__(self, again):
            self.again = lambda took: again

    def play(self, key, rep, again, **foreign):
        asked = []
        those = [self.One(name, asked, list(each)) for name, each in foreign.items()]
        pause, bench.PAUSE_SECS = bench.PAUSE_SECS, 0
        try:
            bench.play(key.split(), those, rep, None, self.Calm(again))
        finally:
            bench.PAUSE_SECS = pause
        return "".join(asked), [[r["foreign"] for k in key.split() for r in one.rec[k]] for one in those]

    def test_nobody_is_always_last(self):
        quiet = [0.0] * 5
        self.assertEqual(self.play("max", 0, True, n=quiet, h=quiet)[0], "nhhnnhhnnh")
        self.assertEqual(self.play("max", 1, True, n=quiet, h=quiet)[0], "hnnhhnnhhn")

    def test_a_single_turn_beside_strangers_is_repeated_whole_and_the_quieter_one_kept(self):
        self.assertEqual(self.play("same", 0, True, n=[0.0, 0.1], h=[0.5, 0.0]), ("nhnh", [[0.1], [0.0]]))
        self.assertEqual(self.play("same", 0, True, n=[0.0, 0.9], h=[0.5, 0.0]), ("nhnh", [[0.0], [0.5]]))

    def test_without_time_left_or_with_more_turns_to_come_nothing_is_repeated(self):
        self.assertEqual(self.play("same", 0, False, n=[0.0], h=[0.5]), ("nh", [[0.0], [0.5]]))
        self.assertEqual(self.play("max", 0, True, n=[0.5] * 5, h=[0.0] * 5)[0], "nhhnnhhnnh")

    def test_steps_that_follow_each_other_are_one_gateway_s_turn(self):
        self.assertIn(["wait300", "sse200", "sse500"], bench.groups())
        self.assertEqual(sum(bench.groups(), []), list(bench.STEPS))
        self.assertEqual(self.play("wait300 sse200", 0, True, n=[0.0, 0.1], h=[0.1, 0.0]), ("nnhh", [[0.0, 0.1], [0.1, 0.0]]))
        # Strangers beside one of them: all of it again.
        self.assertEqual(self.play("wait300 sse200", 1, True, n=[0.0, 0.5, 0.0, 0.1], h=[0.1, 0.0, 0.1, 0.1])[1], [[0.0, 0.1], [0.1, 0.1]])


if __name__ == "__main__":
    unittest.main()
