#!/bin/sh
# A SLURM of one node in this machine, to try batch jobs with: Debian packages slurm-wlm and munge.
# Run as root, in a container or virtual machine of your own; 'stop' ends what 'start' began.
#
#   apt-get install --no-install-recommends slurm-wlm munge
#   sh scripts/slurm/single_node.sh start && sinfo
set -eu

state=/var/lib/mim-slurm

start() {
    mkdir -p "$state/ctld" "$state/d" /run/munge /etc/slurm
    chown munge: /run/munge
    cat >/etc/slurm/slurm.conf <<CONF
ClusterName=trial
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
StateSaveLocation=$state/ctld
SlurmdSpoolDir=$state/d
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo) State=UNKNOWN
PartitionName=trial Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    runuser -u munge -- munged
    slurmctld
    slurmd
}

stop() {
    for name in slurmd slurmctld; do
        kill "$(cat "$state/$name.pid")" 2>/dev/null || true
    done
    runuser -u munge -- munged --stop >/dev/null 2>&1 || true
    rm -f /etc/slurm/slurm.conf
}

case "${1-}" in
start | stop) "$1" ;;
*) echo "usage: $0 start|stop" >&2 && exit 2 ;;
esac
