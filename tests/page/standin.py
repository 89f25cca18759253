"""A stand-in for the page's server: made runs behind the same `/api/v1`, so that the page can be tested without a store.

python tests/page/standin.py --runs 5000 --port 8765
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import difflib
import json
import math
import random
import struct
import time
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, PlainTextResponse

from autolog.page.shell import add_shell

FIRST = (
    "ivory amber coral umber silver dusky cobalt opal vivid keen "
    "wily rusty fern indigo quiet misty jade teal noble hazel"
).split()
SECOND = (
    "horse otter maple comet orca reef lemur falcon dingo crane "
    "raven lynx newt bison stoat ibis koala egret panda finch"
).split()
NOW = 1_764_560_000_000
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' "
    "data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Stricter than the guard's: what works under it works under that."""
HOSTILE = "<img src=x onerror=window.hacked=1>\"';${1}"


class Store:
    """Made runs, seeded; curves are made again whenever they are asked for."""

    def __init__(
        self, runs: int, seed: int = 7, steps: int = 60, wide: bool = False, hostile: bool = False
    ) -> None:
        self.version, self.steps, self.started = 1, steps, int(time.time() * 1000)
        self.now = self.started
        rnd = random.Random(seed)
        self.runs: list[dict[str, Any]] = []
        self.changed: dict[str, int] = {}
        for i in range(runs):
            name = f"{FIRST[i % 20]}-{SECOND[(i // 20 + i) % 20]}" + (f"-{i // 400}" if i >= 400 else "")
            params: dict[str, Any] = {
                "lr": rnd.choice([0.0001, 0.0003, 0.001, 0.002, 0.003, 0.005, 0.01, 0.03]),
                "augment": rnd.choice(["none", "basic", "randaug"]),
                "batch_size": rnd.choice([64, 128, 256, 512]),
                "dropout": rnd.choice([0.0, 0.1, 0.2, 0.3, 0.5]),
                "optimizer": rnd.choice(["adamw", "sgd"]),
                "weight_decay": rnd.choice([1e-5, 1e-4, 5e-4, 1e-3, 1e-2]),
                "epochs": 60,
                "seed_all": 7,
            }
            if wide:
                for k in range(12):
                    params[f"extra_{k}"] = rnd.choice([1, 2, 3])
            if hostile and i % 3 == 0:
                params[HOSTILE] = HOSTILE
                name = HOSTILE + str(i)
            status, n = "finished", steps
            if i in (1, 40):
                status, n = "running", steps * 39 // 60
            elif i % 41 == 5:
                status, n = "lost", steps * 23 // 60
            elif i % 53 == 9:
                status, n = "failed", steps * 9 // 60
            duration = rnd.uniform(2000, 4000) * n / steps
            started = self.now - int(rnd.uniform(0.1, 130) * 3_600_000)
            if status == "running":
                started = self.now - int(duration * 1000)
            self.runs.append(
                {
                    "i": i,
                    "id": f"{i:06x}{rnd.getrandbits(40):010x}",
                    "name": name,
                    "experiment": "cifar10-resnet" if i % 9 else "churn-boost",
                    "parent": None,
                    "status": status,
                    "framework": "torch",
                    "kind": "fit",
                    "estimator": "ResNet18",
                    "started": started,
                    "ended": None if status == "running" else started + int(duration * 1000),
                    "duration": duration,
                    "error": "ValueError: loss is NaN" if status == "failed" else None,
                    "description": None,
                    "starred": i == 3,
                    "archived": False,
                    "children": 0,
                    "n": n,
                    "params": params,
                    "tags": {"team": "blue"} if i % 4 == 0 else {},
                }
            )
            self.summarise(self.runs[-1])
        self.by_id = {r["id"]: r for r in self.runs}

    def curve(self, run: dict[str, Any], metric: str, n: int | None = None) -> list[float]:
        p, n = run["params"], run["n"] if n is None else n
        rnd = random.Random(f"{run['i']}{metric}")
        lr_gap = abs(math.log10(p["lr"]) - math.log10(0.0025))
        top = (
            0.935
            - 0.02 * lr_gap**1.5
            - {"none": 0.035, "basic": 0.012, "randaug": 0}[p["augment"]]
            - (0.006 if p["batch_size"] == 512 else 0)
        )
        top += random.Random(run["i"]).gauss(0, 0.003)
        out = []
        for k in range(n):
            f = 1 - math.exp(-k / (self.steps / 6.5))
            if metric == "val_accuracy":
                v = 0.25 + (top - 0.25) * f + rnd.gauss(0, 0.004)
            elif metric == "val_loss":
                v = (1.75 - 1.5 * f) * (1 + (0.94 - top) * 4) + rnd.gauss(0, 0.012)
            elif metric == "train_loss":
                v = 2.35 - 2.1 * (1 - math.exp(-k / (self.steps / 7))) + rnd.gauss(0, 0.012)
            elif metric == "learning_rate":
                v = p["lr"] * (1 + math.cos(math.pi * k / self.steps)) / 2
            else:
                v = 0.6 + 2.4 * math.exp(-k / (self.steps / 10)) + rnd.gauss(0, 0.07)
            if metric == "grad_norm" and run["i"] % 5 == 2 and 18 < k < 24:
                v = math.nan if k != 20 else math.inf
            out.append(v)
        return out

    METRICS = {
        "val_accuracy": "higher",
        "val_loss": "lower",
        "train_loss": "lower",
        "grad_norm": None,
        "learning_rate": None,
    }

    def summarise(self, run: dict[str, Any]) -> None:
        run["metrics"] = {}
        for metric, direction in self.METRICS.items():
            all_ = self.curve(run, metric)
            v = [x for x in all_ if math.isfinite(x)]
            if not v:
                continue
            best = max(v) if direction == "higher" else min(v) if direction == "lower" else None
            run["metrics"][metric] = {
                "value": all_[-1],
                "last": all_[-1],
                "min": min(v),
                "max": max(v),
                "step": len(all_) - 1,
                "count": len(all_),
                "best": best,
                "best_step": all_.index(best) if best is not None else None,
                "direction": direction,
            }

    def tick(self) -> None:
        """Each run that is training gets one more point."""
        self.version += 1
        for r in self.runs:
            if r["status"] == "running" and r["n"] < self.steps:
                r["n"] += 1
                r["duration"] += 46
                self.summarise(r)
                self.changed[r["id"]] = self.version


class WrongFilter(Exception):
    def __init__(self, message: str, at: int) -> None:
        self.message, self.at = message, at


def value_of(node: ast.AST, run: dict[str, Any], known: dict[str, list[str]]) -> Any:
    if isinstance(node, ast.Expression):
        return value_of(node.body, run, known)
    if isinstance(node, ast.BoolOp):
        parts = [value_of(v, run, known) for v in node.values]
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not value_of(node.operand, run, known)
    if isinstance(node, ast.UnaryOp):
        return -value_of(node.operand, run, known)
    if isinstance(node, ast.Compare):
        left = value_of(node.left, run, known)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = value_of(right_node, run, known)
            if left is None or right is None:
                return False
            ok = {
                ast.Lt: lambda a, b: a < b,
                ast.LtE: lambda a, b: a <= b,
                ast.Gt: lambda a, b: a > b,
                ast.GtE: lambda a, b: a >= b,
                ast.Eq: lambda a, b: a == b,
                ast.NotEq: lambda a, b: a != b,
                ast.In: lambda a, b: a in b,
            }[type(op)](left, right)
            if not ok:
                return False
            left = right
        return True
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [value_of(v, run, known) for v in node.elts]
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("min", "max", "last", "best")
    ):
        m = node.args[0]
        metric_of(m, known)
        return run["metrics"].get(m.attr, {}).get(node.func.id)  # type: ignore[attr-defined]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if node.value.id == "metrics":
            metric_of(node, known)
            return run["metrics"].get(node.attr, {}).get("value")
        if node.value.id == "params":
            if node.attr not in known["params"]:
                close = difflib.get_close_matches(node.attr, known["params"], 1)
                raise WrongFilter(
                    f"No param {node.attr}." + (f" Did you mean {close[0]}?" if close else ""),
                    node.col_offset + len("params."),
                )
            return run["params"].get(node.attr)
        if node.value.id == "tags":
            return run["tags"].get(node.attr)
    if isinstance(node, ast.Name):
        if node.id in run:
            return run[node.id]
        close = difflib.get_close_matches(node.id, list(run), 1)
        raise WrongFilter(
            f"No field {node.id}." + (f" Did you mean {close[0]}?" if close else ""), node.col_offset
        )
    raise WrongFilter("This is not understood here.", getattr(node, "col_offset", 0))


def metric_of(node: Any, known: dict[str, list[str]]) -> None:
    if node.attr not in known["metrics"]:
        close = difflib.get_close_matches(node.attr, known["metrics"], 1)
        raise WrongFilter(
            f"No metric {node.attr}." + (f" Did you mean {close[0]}?" if close else ""),
            node.col_offset + len("metrics."),
        )


def make_app(store: Store) -> FastAPI:
    app = FastAPI(docs_url=None, openapi_url=None)
    known = {
        "metrics": list(Store.METRICS),
        "params": list(dict.fromkeys(k for r in store.runs[:200] for k in r["params"])),
    }

    @app.exception_handler(WrongFilter)
    def wrong(request: Request, e: WrongFilter) -> Response:
        return JSONResponse({"error": e.message, "at": e.at}, 400)

    def chosen(q: str, experiment: str = "", archived: bool = False) -> list[dict[str, Any]]:
        rows = [
            r
            for r in store.runs
            if (not experiment or r["experiment"] == experiment) and (archived or not r["archived"])
        ]
        if q.strip():
            try:
                tree = ast.parse(q.strip(), mode="eval")
            except SyntaxError as e:
                raise WrongFilter(
                    "The filter ends too early or has a sign too many.", (e.offset or 1) - 1
                ) from None
            rows = [r for r in rows if value_of(tree, r, known)]
        return rows

    def answer(request: Request, data: Any) -> Response:
        tag = f'"{store.version}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        return Response(json.dumps(clean(data)), media_type="application/json", headers={"ETag": tag})

    @app.get("/api/v1/runs")
    def runs(
        request: Request,
        q: str = "",
        experiment: str = "",
        sort: str = "",
        offset: int = 0,
        limit: int = 5000,
        archived: int = 0,
        since: int = -1,
    ) -> Response:
        rows = chosen(q, experiment, bool(archived))
        total = len(rows)
        if since >= 0:
            rows = [r for r in rows if store.changed.get(r["id"], 0) > since]
        else:
            down, key = sort.startswith("-"), sort.lstrip("-")
            function = None
            if "(" in key:
                function, key = key[:-1].split("(", 1)
            if key.startswith("metrics."):
                direction = Store.METRICS.get(key[8:])
                rows = [
                    (r["metrics"].get(key[8:], {}).get(function or ("best" if direction else "value")), r)
                    for r in rows
                ]
            elif key.startswith("params."):
                rows = [(r["params"].get(key[7:]), r) for r in rows]
            else:
                rows, down = [(r.get(key or "started"), r) for r in rows], down or not key
            have = sorted(
                (x for x in rows if x[0] is not None),
                key=lambda x: (
                    str(x[0]) if isinstance(x[0], str) else "",
                    x[0] if not isinstance(x[0], str) else 0,
                ),
                reverse=down,
            )
            rows = [x[1] for x in have] + [x[1] for x in rows if x[0] is None]
            rows = rows[offset : offset + limit]
        fields = "id name experiment parent status framework kind estimator started ended duration error description starred archived children".split()  # noqa: E501
        out: dict[str, Any] = {
            "version": store.version,
            "total": total,
            "offset": offset,
            "runs": {f: [r[f] for r in rows] for f in fields},
            "metrics": {},
            "params": {},
            "tags": {},
            "removed": [],
        }
        out["runs"]["step"] = [r["n"] - 1 for r in rows]
        for k in dict.fromkeys(k for r in rows for k in r["params"]):
            out["params"][k] = [r["params"].get(k) for r in rows]
        for k, direction in Store.METRICS.items():
            out["metrics"][k] = {
                f: [r["metrics"].get(k, {}).get(f) for r in rows]
                for f in ("value", "last", "min", "max", "step", "count", "best", "best_step")
            }
            out["metrics"][k].update(direction=direction, special={})
        for k in dict.fromkeys(k for r in rows for k in r["tags"]):
            out["tags"][k] = [r["tags"].get(k) for r in rows]
        return answer(request, out)

    @app.get("/api/v1/experiments")
    def experiments(request: Request) -> Response:
        out = []
        for name in dict.fromkeys(r["experiment"] for r in store.runs):
            rows = [r for r in store.runs if r["experiment"] == name]
            fin = sorted((r for r in rows if r["status"] == "finished"), key=lambda r: r["ended"])
            so_far, best = [], None
            for r in fin:
                v = r["metrics"]["val_accuracy"]["best"]
                if best is None or v > best["value"]:
                    best = {"id": r["id"], "name": r["name"], "value": v}
                    so_far.append([r["ended"], v])
            hours = [0] * 24
            for r in rows:
                h = (store.now - r["started"]) // 3_600_000
                if h < 24:
                    hours[23 - h] += 1
            out.append(
                {
                    "name": name,
                    "runs": len(rows),
                    "running": sum(r["status"] == "running" for r in rows),
                    "last": max(r["ended"] or store.now for r in rows),
                    "metric": "val_accuracy",
                    "direction": "higher",
                    "best": best,
                    "best_so_far": so_far,
                    "activity": hours,
                }
            )
        return answer(request, out)

    @app.get("/api/v1/verdict")
    def verdict(request: Request, q: str = "", experiment: str = "", metric: str = "") -> Response:
        rows, metric = chosen(q, experiment), metric or "val_accuracy"
        direction = Store.METRICS.get(metric)
        up = direction == "higher"
        fin = [r for r in rows if r["status"] == "finished" and metric in r["metrics"]]
        out: dict[str, Any] = {
            "metric": metric,
            "direction": direction,
            "finished": len(fin),
            "best": None,
            "second": None,
            "ahead": None,
            "shares": [],
            "candidates": [{"name": k, "runs": len(rows), "direction": d} for k, d in Store.METRICS.items()],
        }
        if not direction:
            return answer(request, out)
        fin.sort(key=lambda r: r["metrics"][metric]["best"], reverse=up)
        if fin:
            m = fin[0]["metrics"][metric]
            out["best"] = {
                "id": fin[0]["id"],
                "name": fin[0]["name"],
                "value": m["best"],
                "step": m["best_step"],
                "steps": m["count"],
            }
            for r in rows:
                if r["status"] == "running":
                    at = r["n"] - 1
                    lead = store.curve(r, metric)[at] - store.curve(fin[0], metric)[at]
                    if (lead > 0) == up:
                        out["ahead"] = {"id": r["id"], "name": r["name"], "lead": abs(lead), "step": at}
        if len(fin) > 1:
            out["second"] = {
                "id": fin[1]["id"],
                "name": fin[1]["name"],
                "value": fin[1]["metrics"][metric]["best"],
                "lead": abs(
                    round(fin[0]["metrics"][metric]["best"], 4) - round(fin[1]["metrics"][metric]["best"], 4)
                ),
            }
        if len(fin) >= 12:
            rank = {r["id"]: k for k, r in enumerate(reversed(fin))}
            for p in known["params"]:
                groups: dict[Any, list[dict[str, Any]]] = {}
                for r in fin:
                    groups.setdefault(r["params"].get(p), []).append(r)
                if len(groups) < 2:
                    continue
                mean = (len(fin) - 1) / 2
                total = sum((x - mean) ** 2 for x in rank.values())
                between = sum(
                    len(g) * (sum(rank[r["id"]] for r in g) / len(g) - mean) ** 2 for g in groups.values()
                )
                n, k = len(fin), len(groups)
                share = max(0.0, 1 - (1 - between / total) * (n - 1) / (n - k)) if n > k else 0
                if share < 0.02:
                    continue
                number = all(isinstance(v, (int, float)) for v in groups)
                med = lambda g: sorted(r["metrics"][metric]["best"] for r in g)[len(g) // 2]
                order = sorted(
                    groups.items(), key=(lambda kv: kv[0]) if number else (lambda kv, med=med: med(kv[1]))
                )
                out["shares"].append(
                    {
                        "param": p,
                        "share": share,
                        "kind": "number" if number else "category",
                        "values": [
                            {
                                "label": str(v),
                                "value": v,
                                "median": med(g),
                                "count": len(g),
                                "is_best": fin[0] in g,
                            }
                            for v, g in order
                        ],
                        "dots": [
                            [j, r["metrics"][metric]["best"]]
                            for j, (_, g) in enumerate(order)
                            for r in g[:60]
                        ],
                    }
                )
            out["shares"].sort(key=lambda s: -s["share"])
        return answer(request, out)

    @app.get("/api/v1/sparks")
    def sparks(request: Request, runs: str, metric: str) -> Response:
        curves, xs, ys = {}, [0, 1], []
        for id in runs.split(",")[:200]:
            r = store.by_id.get(id)
            if not r:
                continue
            v = store.curve(r, metric)
            step = max(1, len(v) // 40)
            pts = []
            for k in range(0, len(v), step):
                part = [x for x in v[k : k + step] if math.isfinite(x)]
                if part:
                    pts.append([k, min(part), max(part)])
            if v and math.isfinite(v[-1]):
                pts.append([len(v) - 1, v[-1], v[-1]])
            m = r["metrics"].get(metric)
            curves[id] = {
                "points": pts,
                "best": [m["best_step"], m["best"]] if m and m["best"] is not None else None,
            }
            xs.append(len(v) - 1)
            ys += [p[1] for p in pts[len(pts) // 4 :]] + [p[2] for p in pts[len(pts) // 4 :]]
        return answer(
            request, {"x": [0, max(xs)], "y": [min(ys, default=0), max(ys, default=1)], "curves": curves}
        )

    @app.get("/api/v1/series")
    def series(
        runs: str, metrics: str, points: int = 2000, x0: float | None = None, x1: float | None = None
    ) -> Response:
        head, blob = [], bytearray()
        for id in runs.split(","):
            r = store.by_id.get(id)
            for metric in metrics.split(","):
                if not r or metric not in Store.METRICS:
                    continue
                v = store.curve(r, metric)
                gaps = {"nan": sum(x != x for x in v), "inf": sum(math.isinf(x) for x in v)}
                rows = [
                    (k, k, x, x)
                    for k, x in enumerate(v)
                    if (x0 is None or k >= x0) and (x1 is None or k <= x1)
                ]
                thin = len(rows) > points * 2
                if thin:
                    width = len(rows) / points
                    cols = [
                        rows[int(c * width) : max(int((c + 1) * width), int(c * width) + 1)]
                        for c in range(points)
                    ]
                    rows = [(c[0][0], c[0][1], min(x[2] for x in c), max(x[3] for x in c)) for c in cols]
                head.append(
                    {
                        "run": id,
                        "metric": metric,
                        "count": len(v),
                        "length": len(rows),
                        "thinned": thin,
                        "offset": len(blob),
                        "gaps": gaps,
                    }
                )
                per = r["duration"] * 1000 / max(1, len(v))
                for k in range(5):
                    col = [[s, e, r["started"] + s * per, lo, hi][k] for s, e, lo, hi in rows]
                    blob += struct.pack(f"<{len(col)}d", *col)
        text = json.dumps({"version": store.version, "series": head}).encode()
        text += b" " * (-(len(text) + 4) % 8)
        return Response(
            struct.pack("<I", len(text)) + text + bytes(blob),
            media_type="application/octet-stream",
            headers={"ETag": f'"{store.version}"'},
        )

    @app.get("/api/v1/run/{id}")
    def run(request: Request, id: str) -> Response:
        r = store.by_id.get(id) or next((x for x in store.runs if x["name"] == id), None)
        if not r:
            return JSONResponse({"error": f"No run {id}.", "at": None}, 404)
        out = {k: v for k, v in r.items() if k not in ("i", "n")}
        out["metrics"] = {k: dict(m, sample=None) for k, m in r["metrics"].items()}
        fin = [x for x in store.runs if x["experiment"] == r["experiment"] and x["status"] == "finished"]
        out["places"] = {}
        for k, d in Store.METRICS.items():
            if d and k in r["metrics"] and r["status"] == "finished":
                vals = sorted((x["metrics"][k]["best"] for x in fin), reverse=d == "higher")
                out["places"][k] = {
                    "rank": vals.index(r["metrics"][k]["best"]) + 1,
                    "of": len(vals),
                    "values": vals[:: max(1, len(vals) // 400)],
                }
        out.update(
            folder=".autolog/artifacts/" + r["id"],
            ancestors=[],
            notes=[],
            errors=[],
            artifacts=[],
            overhead={"seconds": 0.04},
            environment={
                "python": "3.11.9",
                "platform": "Linux",
                "host": "gpu-04",
                "pid": 4711,
                "packages": {"torch": "2.9.1", "numpy": "2.1.0"},
                "git": {"commit": "8f3c21e0aa", "dirty": True},
            },
            datasets=[
                {
                    "name": "cifar10/train",
                    "role": "train",
                    "rows": 45000,
                    "shape": [45000, 3, 32, 32],
                    "digest": "e1a7c0",
                }
            ],
            models=[
                {
                    "name": "model",
                    "flavor": "torch",
                    "bytes": 44_800_000,
                    "path": "models/model",
                    "signature": {"inputs": "float32 [n, 3, 32, 32]", "outputs": "float32 [n, 10]"},
                }
            ]
            if r["status"] == "finished"
            else [],
            framework_version="2.9.1",
            description="RandAugment with the longer warm-up. Plateau after 47." if r["i"] % 2 == 0 else None,
            defaults={"epochs": True, "seed_all": True},
        )
        return answer(request, out)

    @app.get("/api/v1/run/{id}/code")
    def code(request: Request, id: str) -> Response:
        return answer(
            request,
            {
                "commit": "8f3c21e0aa",
                "dirty": True,
                "diff": "--- a/train.py\n+++ b/train.py\n@@ -1,3 +1,3 @@\n import torch\n-sched = CosineAnnealingLR(opt, epochs)\n+sched = SequentialLR(opt, [warmup(opt, 5)])\n",  # noqa: E501
                "files": {"train.py": "import torch\n\nprint('<b>hello</b>')\n"},
                "cells": {},
            },
        )

    @app.get("/api/v1/run/{id}/files")
    def files(request: Request, id: str) -> Response:
        return answer(
            request,
            [
                {"path": "checkpoints/last.pt", "bytes": 44_900_000, "kind": "other"},
                {"path": "report.json", "bytes": 84, "kind": "json"},
                {"path": "notes/log.txt", "bytes": 30, "kind": "text"},
            ],
        )

    @app.get("/api/v1/run/{id}/file")
    def file(id: str, path: str, preview: int = 0) -> Response:
        return PlainTextResponse(
            '{"accuracy": 0.9412}' if path.endswith("json") else "epoch 1\nepoch 2 <b>done</b>\n"
        )

    @app.post("/api/v1/change")
    async def change(request: Request) -> Response:
        body = await request.json()
        store.version += 1
        for id in body["runs"]:
            store.by_id[id].update(
                {k: v for k, v in body.items() if k in ("name", "description", "starred", "archived")}
            )
            store.changed[id] = store.version
        return JSONResponse({"changed": body["runs"]})

    @app.post("/api/v1/tick")
    def tick() -> Response:
        store.tick()
        return JSONResponse({"version": store.version})

    @app.websocket("/api/v1/live")
    async def live(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_json(
            {"type": "hello", "version": store.version, "started": store.started, "autolog": "0"}
        )
        sent, watch = store.version, []

        async def receive() -> None:
            nonlocal watch
            while True:
                watch = [list(w) for w in (await ws.receive_json())["watch"]]

        task = asyncio.create_task(receive())
        try:
            while not task.done():
                await asyncio.sleep(0.3)
                if store.version != sent:
                    sent = store.version
                    await ws.send_json({"type": "changed", "version": sent})
                    for w in watch:
                        r = store.by_id.get(w[0])
                        if r and r["n"] > w[2]:
                            v = store.curve(r, w[1])
                            per = r["duration"] * 1000 / max(1, len(v))
                            await ws.send_json(
                                {
                                    "type": "points",
                                    "run": w[0],
                                    "metric": w[1],
                                    "points": clean(
                                        [[k, k, r["started"] + k * per, v[k]] for k in range(w[2], len(v))]
                                    ),
                                }
                            )
                            w[2] = r["n"]
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            task.cancel()

    @app.middleware("http")
    async def policy(request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    add_shell(app, token="standin", place="~/vision/.autolog")
    return app


def clean(x: Any) -> Any:
    if isinstance(x, float):
        return x if math.isfinite(x) else None
    if isinstance(x, dict):
        return {k: clean(v) for k, v in x.items()}
    if isinstance(x, list):
        return [clean(v) for v in x]
    return x


def main() -> None:
    import threading

    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=120)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("--live", type=float, default=0, help="seconds between points; 0 is never")
    a = parser.parse_args()
    store = Store(a.runs, steps=a.steps, wide=a.wide, hostile=a.hostile)
    if a.live:

        def beat() -> None:
            while True:
                time.sleep(a.live)
                store.tick()

        threading.Thread(target=beat, daemon=True).start()
    uvicorn.run(make_app(store), port=a.port, log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
