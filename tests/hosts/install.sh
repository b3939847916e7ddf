#!/bin/sh
# The hosts stand in tests/hosts/node_modules, which git ignores. None of their install scripts runs.
set -e
cd "$(dirname "$0")/../.."
exec .venv/bin/python tests/wire/conformance/node.py tests/hosts @anthropic-ai/claude-code @openai/codex @modelcontextprotocol/inspector
