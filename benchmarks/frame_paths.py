"""Does a model say the same of a load, by whatever path its picture has come?

Trucks are rendered as camera C301's whole frame, 2272 x 1704, as the station sees it (4:2:0). Each
goes to the bundle's network four times:

- station: as the agent cuts and resizes the frame;
- png: the frame written without loss, read as training reads files;
- evidence: the JPEG that the agent keeps, read so too: what is trained on after
  `cane-train data import records`;
- rendered: the truck rendered at the network's size at once, as `cane-sim dataset` does, which
  draws the same load with other noise.

Prints one JSON object: of each path against the station's max and mean |dp|, and how many decisions
are others; and how often each path's decision is the true grade.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.cameras.pictures import bgr
from edge_agent.grades import GRADES
from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from edge_agent.inference.preprocess import Preprocessor
from edge_agent.records.evidence import EvidenceFolder
from simulator.render import render_graded, render_view
from simulator.truth import Truck, draw_truck
from training import provenance
from training.data import images

CAMERA = "C301"
Pixels = npt.NDArray[np.uint8]


def pictures(bundle: Bundle, truck: Truck, folder: Path) -> dict[str, Pixels]:
    """uint8 RGB (size, size, 3) of a truck, by path."""
    spec = bundle.manifest.input
    area = spec.graded_area
    cut = (area.left, area.top, area.right, area.bottom)
    drawn = render_view(truck, CAMERA).image
    frame = bgr(av.VideoFrame.from_ndarray(drawn, format="bgr24").reformat(format="yuv420p"))
    file = folder / "frame.png"
    cv2.imwrite(str(file), frame)
    kept = EvidenceFolder(folder).write("arrival", datetime.now(UTC), CAMERA, frame)
    small = render_graded(truck, CAMERA, spec.width).image
    found = {
        "station": Preprocessor(spec)(frame),
        "png": images.read(file, spec.width, cut=cut),
        "evidence": images.read(folder / kept.path, spec.width, cut=cut),
        "rendered": np.ascontiguousarray(small[..., ::-1]),
    }
    for name, image in found.items():
        if isinstance(image, images.Skip):
            raise SystemExit(f"{name}: {image.reason}")
    return {name: np.asarray(image) for name, image in found.items()}


def main() -> None:
    """Prints the JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--trucks", type=int, default=60)
    parser.add_argument("--seed", type=int, default=51)
    parser.add_argument("--difficulty", type=float, default=0.3)
    options = parser.parse_args()
    bundle = Bundle.read(options.bundle)
    grader, rng = Grader(bundle), np.random.default_rng(options.seed)
    said: dict[str, list[npt.NDArray[np.float32]]] = {}
    labels = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.trucks):
            truck = draw_truck(rng, difficulty=options.difficulty)
            labels.append(GRADES.index(truck.grade))
            for name, image in pictures(bundle, truck, Path(folder)).items():
                said.setdefault(name, []).append(grader.probabilities(image[None])[0])
    probabilities = {name: np.stack(of) for name, of in said.items()}
    station = probabilities.pop("station")
    content = {
        "benchmark": "frame_paths",
        **provenance.of_result("onnxruntime", "av"),
        "bundle": {"name": bundle.manifest.name, "sha256": bundle.digest},
        "trucks": options.trucks,
        "seed": options.seed,
        "difficulty": options.difficulty,
        "right": {
            name: round(float((of.argmax(1) == labels).mean()), 4)
            for name, of in {"station": station, **probabilities}.items()
        },
        "against_the_station": {
            name: {
                "max_dp": round(float(np.abs(of - station).max()), 5),
                "mean_dp": round(float(np.abs(of - station).mean()), 5),
                "other_decisions": int((of.argmax(1) != station.argmax(1)).sum()),
            }
            for name, of in probabilities.items()
        },
    }
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
