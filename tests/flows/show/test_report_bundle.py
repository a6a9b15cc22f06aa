"""The modules of the report's page become one module: order, scopes, and what is refused; the linter's
settings."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from turnaround.flows.report.bundle import Module, bundle, bundle_sources

ROOT = Path(__file__).resolve().parents[3]
ASSETS = ROOT / "flows" / "report" / "assets"

TOY = {
    "main": 'import { twice, log } from "./middle-one.js";\nimport { value } from "./end.js";\n'
    "log(twice(value));\n",
    "middle-one": 'import {\n  value,\n} from "./end.js";\n\nconst hidden = 2;\n'
    "export const log = (x) => globalThis.told.push(x + value);\n"
    "export function twice(x) {\n  return hidden * x;\n}\n",
    "end": "globalThis.told.push('end');\nconst hidden = 20;\nexport const value = hidden + 1;\n",
}


def joined(sources: dict[str, str]) -> str:
    return bundle_sources(sources.__getitem__, "main")


def test_every_module_stands_once_and_after_those_that_it_imports():
    text = joined(TOY)
    places = [text.index(f"const ${name} = ") for name in ("end", "middle_one", "main")]
    assert places == sorted(places) and text.count("hidden = 20") == 1
    assert "import" not in text and "export" not in text


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_the_bundle_does_what_the_modules_do(tmp_path):
    for name, source in TOY.items():
        (tmp_path / f"{name}.js").write_text(source)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "joined.js").write_text(joined(TOY))

    def told(name: str) -> list[object]:
        script = f"globalThis.told = []; await import('./{name}.js'); console.log(JSON.stringify(told));"
        command = ["node", "--input-type=module", "-e", script]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout)

    assert told("main") == told("joined") == ["end", 42 + 21]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"end": 'import { log } from "./middle-one.js";\nexport const value = 1;\n'},
            "main -> middle-one -> end",
        ),
        ({"end": "export const other = 1;\n"}, "middle-one.js imports value, which end.js does not export"),
        ({"end": "export let value = 1;\n"}, "end.js: expected .* got 'export let value = 1;'"),
        ({"end": "export default 1;\n"}, "got 'export default 1;'"),
        ({"end": "const value = 1;\nexport { value };\n"}, "got 'export { value };'"),
        ({"main": 'import * as end from "./end.js";\n'}, "main.js: expected .* got 'import"),
        ({"main": 'import { value } from "https://evil.example/x.js";\n'}, "main.js: expected"),
        ({"main": 'const end = await import("./end.js");\n'}, "main.js: expected"),
    ],
)
def test_other_forms_and_circles_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        joined(TOY | change)


def test_every_module_of_the_page_is_in_it():
    text = bundle(ASSETS, "main")
    files = sorted(ASSETS.glob("*.js"))
    assert len(files) > 5
    for file in files:
        exports = Module.parse(file.stem, file.read_text(encoding="ascii")).exports
        assert text.count(f"const ${file.stem} = (() => {{") == 1 and (exports or file.stem == "main")


def test_the_linter_passes_and_finds_what_it_should(tmp_path):
    linter = Path(sys.executable).with_name("oxlint")
    if not linter.is_file():
        pytest.skip("oxlint is not installed: pip install 'turnaround[test]'")

    def lint(folder: Path) -> tuple[int, str]:
        command = [str(linter), "-c", str(ROOT / ".oxlintrc.json"), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout

    for folder in (ASSETS, ROOT / "flows" / "viewer" / "page"):
        code, told = lint(folder)
        assert code == 0 and "Found 0 warnings and 0 errors" in told, told
    (tmp_path / "main.js").write_text('import { lost } from "./end.js";\nglobalVariable(lost);\n')
    (tmp_path / "end.js").write_text("export const value = 1;\n")
    code, told = lint(tmp_path)
    assert code == 1 and "no-undef" in told and "globalVariable" in told and '"lost" not found' in told
