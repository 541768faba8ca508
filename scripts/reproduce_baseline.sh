#!/usr/bin/env bash
# Score the published checkpoints of the 2020 baseline with this package, and lay the
# results beside the published ones. It resumes where it stopped.

# Backquotes in quotes are Markdown's.
# shellcheck disable=SC2016

set -euo pipefail

usage() {
    cat <<'END'
usage: scripts/reproduce_baseline.sh --out DIR [options] [-- MORE]

  --s2 DIR       folder with the DeepLabv3+ for S2: one .pkl and one .pth
                 (http://go.tum.de/009658)
  --s1s2 DIR     folder with the DeepLabv3+ for S1/S2 (http://go.tum.de/707675)
  --dfc2020 DIR  DFC2020, for the rows of its validation and test phase
  --sen12ms DIR  SEN12MS, for the row of its holdout scenes
  --out DIR      where checkpoints, scores and the table go
  MORE           settings of dfc2020-geo test, such as --data.batch_size 8

One of --s2 and --s1s2 and one of --dfc2020 and --sen12ms will do; rows that were not
computed have a dash. DIR/baseline.md is the table.
END
}

fail() {
    echo "reproduce_baseline.sh: error: $1" >&2
    exit 1
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
published=$root/docs/published.md
# The network of both sensors first, since it reads all that the other one reads.
names='s1s2 s2'
sets='dfc2020_val dfc2020_test sen12ms_holdout'
s2='' s1s2='' dfc2020='' sen12ms='' out=''
more=()

read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            --s2 | --s1s2 | --dfc2020 | --sen12ms | --out)
                [ $# -gt 1 ] || fail "Expected a directory after $1, got none."
                printf -v "${1#--}" '%s' "${2%/}"
                shift 2
                ;;
            -h | --help)
                usage
                exit
                ;;
            --)
                shift
                more=("$@")
                return
                ;;
            *) fail "Expected one of --s2, --s1s2, --dfc2020, --sen12ms, --out and --, got $1." ;;
        esac
    done
}

# The one file of a folder with an ending.
only_file() {
    local files=("$1"/*"$2")
    if [ ! -f "${files[0]}" ] || [ ${#files[@]} -ne 1 ]; then
        fail "Expected one $2 file in $1, got: $(cd "$1" && ls -m)"
    fi
    printf '%s\n' "${files[0]}"
}

check_arguments() {
    [ -n "$out" ] || fail 'Expected --out DIR, got none.'
    [ -n "$s2$s1s2" ] || fail 'Expected --s2 DIR or --s1s2 DIR, got none.'
    [ -n "$dfc2020$sen12ms" ] || fail 'Expected --dfc2020 DIR or --sen12ms DIR, got none.'
    local name
    for name in s2 s1s2 dfc2020 sen12ms; do
        [ -z "${!name}" ] || [ -d "${!name}" ] ||
            fail "Expected a directory for --$name, got ${!name}."
    done
    for name in $names; do
        if [ -n "${!name}" ]; then
            only_file "${!name}" .pkl >/dev/null
            only_file "${!name}" .pth >/dev/null
        fi
    done
}

find_command() {
    local command
    for command in dfc2020-geo "$root/.venv/bin/dfc2020-geo"; do
        if command -v "$command" >/dev/null; then
            geo=$command
            return
        fi
    done
    fail "Expected the command dfc2020-geo, got none; make install in $root."
}

# What results depend on is kept with them, so that they are not taken for others'.
check_same() {
    [ ! -f "$1" ] || [ "$2" = "$(cat "$1")" ] ||
        fail "Expected what $1 says, got $2; name another --out."
}

import_network() {
    local name=$1 folder=${!1} place=$out/$1 inputs
    inputs=$(cd "$folder" && cksum -- *.pkl *.pth)
    check_same "$place/inputs.txt" "$inputs"
    if [ -f "$place/inputs.txt" ]; then
        echo "$name: imported already"
        return
    fi
    mkdir -p "$place"
    "$geo" import-baseline --config_file "$(only_file "$folder" .pkl)" \
        --checkpoint_file "$(only_file "$folder" .pth)" --out "$place/model.ckpt" \
        --overwrite
    check_bands "$name"
    printf '%s\n' "$inputs" >"$place/inputs.txt"
}

# Folders that were mixed up would give rows that were mixed up.
check_bands() {
    local name=$1 reads=s2
    grep -Eq '^ *- s1$' "$out/$name/model.yaml" && reads=s1s2
    [ "$name" = "$reads" ] ||
        fail "Expected the network for $name in ${!name}, got one for $reads."
}

root_of() {
    case $1 in
        dfc2020_*) printf '%s' "$dfc2020" ;;
        *) printf '%s' "$sen12ms" ;;
    esac
}

# The picture is the last file that a stage writes.
is_scored() {
    [ -f "$out/$1/$2_confusion.png" ]
}

score() {
    local name=$1 set=$2 place=$3
    shift 3
    "$geo" test --ckpt "$out/$name/model.ckpt" --data.test "$set" \
        "--data.${set%%_*}_root" "$(root_of "$set")" --scores.output_dir "$place" \
        --scores.overwrite true --trainer.logger false ${more[@]+"${more[@]}"} "$@"
}

# Every row that is still to be computed, set by set.
missing_rows() {
    local name set
    for set in $sets; do
        for name in $names; do
            if [ -n "${!name}" ] && [ -n "$(root_of "$set")" ] && ! is_scored "$name" "$set"; then
                echo "$name $set"
            fi
        done
    done
}

# A set that is not there shows itself in seconds, not after hours: those that are not
# scored first are tried before.
try_sets() {
    local name set tried=''
    while read -r name set; do
        if [ "${tried:=$set}" != "$set" ]; then
            tried=$set
            echo "$set: trying one batch"
            score "$name" "$set" "$scratch" --trainer.limit_test_batches 1 \
                </dev/null >"$scratch/log" 2>&1 ||
                fail "Expected a batch of $set, got: $(tail -n 1 "$scratch/log")"
        fi
    done <"$scratch/rows"
}

published_score() {
    awk -F ' *[|] *' -v network="DeepLabv3+ ($1)" -v set="\`$2\`" -v column="$3" \
        '$2 == network && $3 == set { print $column }' "$published"
}

computed_score() {
    is_scored "$1" "$2" || return 0
    awk -F, -v name="$3" '$1 == "overall" && $2 == name && $3 != "" {
        printf "%.2f\n", 100 * $3
    }' "$out/$1/$2.csv"
}

note() {
    is_scored "$1" "$2" || return 0
    sed -n -e '/^note,/!d' -e 's/^note,"\{0,1\}//' -e 's/"\{0,1\},*$//p' "$out/$1/$2.csv"
}

write_table() {
    local name set title text
    echo '| network | set | AA published | AA computed | mIoU over all classes published | computed (`mIoU_all`) | mIoU over the classes in the truth computed (`mIoU`) |'
    echo '|---|---|---|---|---|---|---|'
    for name in s2 s1s2; do
        title=$([ "$name" = s2 ] && echo S2 || echo S1/S2)
        for set in $sets; do
            printf '| DeepLabv3+ (%s) | `%s` | %s | %s | %s | %s | %s |\n' "$title" "$set" \
                "$(published_score "$title" "$set" 4)" "$(dash "$name" "$set" AA)" \
                "$(published_score "$title" "$set" 5)" "$(dash "$name" "$set" mIoU_all)" \
                "$(dash "$name" "$set" mIoU)"
        done
    done
    for name in $names; do
        for set in $sets; do
            text=$(note "$name" "$set")
            [ -z "$text" ] || printf '\n%s, `%s`: %s\n' "$name" "$set" "$text"
        done
    done
}

dash() {
    local value
    value=$(computed_score "$@")
    printf '%s' "${value:--}"
}

main() {
    read_arguments "$@"
    check_arguments
    find_command
    mkdir -p "$out"
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    local name set
    for name in dfc2020 sen12ms; do
        [ -z "${!name}" ] || check_same "$out/$name.txt" "$(cd "${!name}" && pwd -P)"
    done
    for name in $names; do
        if [ -n "${!name}" ]; then
            import_network "$name"
        fi
    done
    missing_rows >"$scratch/rows"
    try_sets
    while read -r name set; do
        echo "$name: scoring $set"
        score "$name" "$set" "$out/$name" </dev/null
        (cd "$(root_of "$set")" && pwd -P) >"$out/${set%%_*}.txt"
    done <"$scratch/rows"
    write_table >"$out/baseline.md.part"
    mv "$out/baseline.md.part" "$out/baseline.md"
    echo
    cat "$out/baseline.md"
    echo
    echo "Wrote $out/baseline.md"
}

main "$@"
