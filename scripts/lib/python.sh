# shellcheck shell=bash
# The project's own virtual environment, .venv.

# The first Python that is new enough; SNAKEPIT_SETUP_PYTHON names another.
find_python() {
    local name
    for name in ${SNAKEPIT_SETUP_PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name" && return
        fi
    done
}

# venv_key PYTHON: what the environment depends on: interpreter, package settings and build hook, schemas.
venv_key() {
    {
        echo "$root"
        "$1" --version
        find python -maxdepth 1 \( -name pyproject.toml -o -name '*.py' \) -print0 | sort -z | xargs -0r cat
        find proto -name '*.proto' -print0 | sort -z | xargs -0r cat
    } | digest
}

# need_venv PYTHON
need_venv() {
    local stamp=.venv/snakepit.stamp key
    key=$(venv_key "$1")
    if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then return; fi
    say 'installing the Python package into .venv'
    local options=()
    [ "$(.venv/bin/python --version 2>/dev/null)" = "$("$1" --version)" ] || options=(--clear)
    "$1" -m venv "${options[@]}" .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e './python[demo,dev]'
    echo "$key" >"$stamp"
}
