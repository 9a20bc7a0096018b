"""Write tests/daw/api.json: names, arity and types of every Reaper function our scripts call.

python scripts/reaper_api.py reascript_api.json
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "daw_scripts/reaper"
TARGET = ROOT / "tests/daw/api.json"
FAMILIES = {
    "item": ("SetMediaItemInfo_Value", "GetSetMediaItemInfo_String"),
    "take": ("SetMediaItemTakeInfo_Value", "GetSetMediaItemTakeInfo_String"),
    "track": ("SetMediaTrackInfo_Value", "GetSetMediaTrackInfo_String"),
    "project": ("GetSetProjectInfo",),
}


def facts(full: dict) -> dict:
    """Return what of all facts our scripts need; unknown names are left out."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.rglob("*.lua")))
    code = re.sub(r"--[^\n]*", "", text)
    calls = sorted(set(re.findall(r"\b((?:reaper|gfx)\.\w+)", code)))
    functions = {}
    for name in calls:
        known = full["functions"].get(name)
        if known:
            functions[name] = {
                "args": [a["type"] + ("?" if a.get("optional") else "") for a in known["args"]],
                "returns": [r["type"] for r in known["returns"]],
            }
    literals = set(re.findall(r'"([A-Z]+_[A-Z_]+)', code))
    names = {}
    for family, sources in FAMILIES.items():
        known = {n.split(":")[0] for source in sources for n in full["parmnames"][source]}
        names[family] = sorted((literals | {"GUID", "P_EXT"}) & (known | {"GUID", "P_EXT"}))
    imgui = {}
    for name in sorted(set(re.findall(r"\bImGui\.(\w+)\(", code))):
        known = full["imgui"]["functions"].get(name)
        if known:
            imgui[name] = {
                "args": [a["type"] + ("?" if a.get("optional") else "") for a in known["args"]],
                "returns": [r["type"] for r in known["returns"]],
            }
    return {
        "functions": functions,
        "gfx_variables": sorted(set(full["gfx_variables"]) & set(re.findall(r"gfx\.(\w+)", code))),
        "names": names,
        "imgui": imgui,
    }


def to_text(found: dict) -> str:
    return json.dumps(found, indent=1, sort_keys=True).replace("\u200b", "") + "\n"


def main() -> None:
    full = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    TARGET.write_text(to_text(facts(full)), encoding="utf-8")


if __name__ == "__main__":
    main()
