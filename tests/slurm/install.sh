#!/usr/bin/env bash
# Installs Slurm, and MariaDB for its accounting, from Debian's packages. Needs root; repeatable; starts no daemon.
set -euo pipefail

packages=(munge slurm-client slurmctld slurmd)
[[ ${SKYSIFT_SLURM_ACCOUNTING:-yes} == no ]] || packages+=(slurmdbd mariadb-server)

is_installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

absent=()
for package in "${packages[@]}"; do is_installed "$package" || absent+=("$package"); done
[[ ${#absent[@]} -gt 0 ]] || exit 0

refuse() { echo "no Slurm for the tests: $*" >&2; exit 1; }
command -v apt-get >/dev/null || refuse "no apt-get here; install ${absent[*]} by hand"
[[ $EUID == 0 ]] || refuse "root must install ${absent[*]}"

# Packages ask this file whether they may start their services: no, the tests start their own.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi

report=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
if ! { timeout 240 apt-get update -q && timeout 600 apt-get install -q -y --no-install-recommends "${absent[@]}"; } \
  >"$report" 2>&1; then
  tail -n 15 "$report" >&2
  refuse "apt-get could not install ${absent[*]}"
fi
rm -f "$report"
