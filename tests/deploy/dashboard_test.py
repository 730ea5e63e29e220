#!/usr/bin/env python3
"""Runs every query of the Grafana dashboard against a real Prometheus that scrapes a training, serving vitd.

None may come back empty. Also: Prometheus accepts the configuration, the rules and the metrics page, and the page shows
what Status shows. Needs Debian's prometheus and promtool (scripts/bootstrap --dev); without them it is skipped.
Usage: dashboard_test.py SOURCE_DIR BIN_DIR
"""

import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

SKIPPED = 77  # SKIP_RETURN_CODE of tests/deploy/CMakeLists.txt
RATE_INTERVAL = "10s"  # stands for $__rate_interval; the scrape interval here is 0.5 s
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback: never through a proxy


class Failure(Exception):
    pass


def poll(seconds, what, condition):
    """Returns condition()'s first true value; Failure after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"{what} after {seconds} s")
        time.sleep(0.1)


def http_get(url):
    with HTTP.open(url, timeout=10) as reply:
        return reply.read().decode()


def find_tool(source, name):
    unpacked = source / ".venv/prometheus/usr/bin" / name
    return str(unpacked) if unpacked.exists() else shutil.which(name)


def run(command, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **kwargs)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Process:
    """A daemon; killed at the end where it is still there."""

    def __init__(self, command, log):
        self.log = log
        with open(log, "wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def check_alive(self):
        if self.process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-3000:]
            raise Failure(f"{self.process.args[0]} ended with status {self.process.returncode}:\n{tail}")

    def terminate(self, seconds):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=seconds)


class Vitd(Process):
    def __init__(self, bin_dir, folder):
        self.bin_dir = bin_dir
        state = folder / "state"
        super().__init__(
            [bin_dir / "vitd", "--state-dir", state, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"],
            folder / "vitd.log")
        ports = state / "vitd.ports"

        def read_ports():
            self.check_alive()
            return ports.exists() and json.loads(ports.read_text())

        found = poll(60, "vitd has not written its ports", read_ports)
        self.server = f"127.0.0.1:{found['grpc']}"
        self.metrics_address = f"127.0.0.1:{found['metrics']}"

    def vitctl(self, *arguments):
        return run([self.bin_dir / "vitctl", "--server", self.server, "-o", "json", *arguments])

    def metrics(self):
        return http_get(f"http://{self.metrics_address}/metrics")


class Prometheus(Process):
    def __init__(self, binary, target, rules, folder):
        config = folder / "prometheus.json"  # JSON is YAML
        config.write_text(json.dumps({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "vitd", "static_configs": [{"targets": [target]}]}],
        }))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(
            [binary, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
             f"--web.listen-address=127.0.0.1:{port}"], folder / "prometheus.log")

        def ready():
            self.check_alive()
            try:
                return http_get(f"{self.url}/-/ready")
            except (urllib.error.URLError, ConnectionError):
                return None

        poll(60, "Prometheus is not ready", ready)

    def get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        try:
            answer = json.loads(http_get(f"{self.url}/api/v1/{path}?{query}"))
        except urllib.error.HTTPError as error:
            raise Failure(f"{path} {parameters}: {error.read().decode()}") from error
        return answer["data"]

    def has_values(self, query):
        """Whether the range query a panel would make gives at least one number."""
        now = time.time()
        data = self.get("query_range", query=query, start=now - 60, end=now, step="1s")
        return any(not math.isnan(float(value)) for series in data["result"] for _, value in series["values"])


def dashboard_queries(dashboard):
    """(panel's title, query) of every panel, with the dashboard's variables filled in."""
    variables = {"run": ".*", "model": ".*", "__rate_interval": RATE_INTERVAL}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], re.sub(r"\$(\w+)", lambda match: variables[match[1]], target["expr"])


def check_variables(dashboard, prometheus):
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
        values = prometheus.get(f"label/{label}/values", **{"match[]": metric})
        if not values:
            raise Failure(f"variable {variable['name']}: label_values({metric}, {label}) is empty")


def check_rules(prometheus):
    """Every rule evaluates, and every metric that a rule names exists."""

    def evaluated():
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        return rules and all(rule["health"] != "unknown" for rule in rules) and rules

    for rule in poll(60, "rules have not been evaluated", evaluated):
        if rule["health"] != "ok":
            raise Failure(f"rule {rule['name']}: {rule.get('lastError')}")
        for metric in re.findall(r"\b(?:vitd|process)_[a-z_]+", rule["query"]):
            if not prometheus.has_values(metric):
                raise Failure(f"rule {rule['name']} asks for {metric}, which vitd does not export")


def classify_until(stopped, vitd, image, failures):
    """Classifies over and over, so that the serving panels have something to show."""
    while not stopped.is_set():
        try:
            vitd.vitctl("classify", image)
        except Failure as failure:
            failures.append(failure)
            return


def check_metrics_equal_status(vitd, run):
    """The page shows the loss, accuracy and learning rate of Status; the run has ended, so both hold still."""
    status = json.loads(vitd.vitctl("status", run))["run"]
    page = vitd.metrics()

    def on_page(metric, **labels):
        for line in page.splitlines():
            match = re.fullmatch(metric + r"\{(.*)\} (\S+)", line)
            if match and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', match[1])).items():
                return float(match[2])
        raise Failure(f"no {metric} with {labels} on the metrics page")

    def field(point, name):
        return float(point.get(name, 0))

    for split, point in (("train", status["last_train"]), ("validation", status["last_validation"])):
        for metric, name in (("vitd_training_loss", "loss"), ("vitd_training_accuracy_ratio", "accuracy")):
            shown, expected = on_page(metric, run=status["id"], split=split), field(point, name)
            if not math.isclose(shown, expected, rel_tol=1e-5, abs_tol=1e-7):
                raise Failure(f"{metric} of {split} is {shown}, but Status says {expected}")
    shown = on_page("vitd_training_learning_rate", run=status["id"])
    expected = field(status["last_train"], "learning_rate")
    if not math.isclose(shown, expected, rel_tol=1e-5, abs_tol=1e-12):
        raise Failure(f"vitd_training_learning_rate is {shown}, but Status says {expected}")


def test(source, bin_dir, folder, prometheus_binary, promtool):
    deploy = source / "deploy"
    run([promtool, "check", "config", deploy / "prometheus/prometheus.yml"])
    run([promtool, "check", "rules", deploy / "prometheus/rules.yml"])
    dashboard = json.loads((deploy / "grafana/dashboards/vitd.json").read_text())
    queries = list(dashboard_queries(dashboard))
    if not queries:
        raise Failure("the dashboard has no queries")

    run([bin_dir / "make_shapes", folder / "images", "--val", "10", "--seed", "1"])
    image = next((folder / "images").rglob("*.png"))
    rules = deploy / "prometheus/rules.yml"
    with Vitd(bin_dir, folder) as vitd, Prometheus(prometheus_binary, vitd.metrics_address, rules, folder) as prometheus:
        started = json.loads(vitd.vitctl(
            "start-run", "--data", "shapes:", "--preset", "shapes_demo", "--set", "batch_size=16",
            "--set", "max_steps=1000000", "--set", "data.shapes.val_size=64", "--set", "log_every_steps=5",
            "--set", "evaluation.every_steps=20", "--set", "checkpoint.every_steps=20"))
        run_id = started["run"]["id"]

        def first_checkpoint():
            vitd.check_alive()
            return json.loads(vitd.vitctl("status", run_id))["run"].get("best_checkpoint")

        poll(180, "the run has no checkpoint", first_checkpoint)
        stopped, failures = threading.Event(), []
        client = threading.Thread(target=classify_until, args=(stopped, vitd, image, failures))
        client.start()
        try:
            missing = list(queries)

            def all_answered():
                vitd.check_alive()
                prometheus.check_alive()
                if failures:
                    raise failures[0]
                missing[:] = [(title, query) for title, query in missing if not prometheus.has_values(query)]
                return not missing

            try:
                poll(120, "some queries are empty", all_answered)
            except Failure as failure:
                lines = "\n".join(f"  {title}: {query}" for title, query in missing)
                raise Failure(f"{failure}\n{lines}") from failure
            check_variables(dashboard, prometheus)
            check_rules(prometheus)
            run([promtool, "check", "metrics"], input=vitd.metrics())
        finally:
            stopped.set()
            client.join()
        vitd.vitctl("stop", run_id)
        poll(60, "the run has not stopped",
             lambda: json.loads(vitd.vitctl("status", run_id))["run"]["state"] == "RUN_STATE_STOPPED")
        check_metrics_equal_status(vitd, run_id)
        status = vitd.terminate(60)
        if status != 0:
            raise Failure(f"vitd ended with status {status} after SIGTERM")
    return len(queries)


def main():
    source, bin_dir = map(pathlib.Path, sys.argv[1:3])
    prometheus, promtool = find_tool(source, "prometheus"), find_tool(source, "promtool")
    if not prometheus or not promtool:
        print("skipped: no prometheus or promtool here; scripts/bootstrap --dev fetches them")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        try:
            count = test(source, bin_dir, pathlib.Path(folder), prometheus, promtool)
        except Failure as failure:
            print(f"FAILED: {failure}")
            log = pathlib.Path(folder) / "vitd.log"
            if log.exists():
                print(f"vitd's log ends with:\n{log.read_text(errors='replace')[-3000:]}")
            return 1
    print(f"passed: {count} queries, each with an answer")
    return 0


if __name__ == "__main__":
    os.environ["no_proxy"] = "127.0.0.1,localhost"
    sys.exit(main())
