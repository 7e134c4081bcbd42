#!/usr/bin/env bash
# A SLURM cluster of one node, this machine, on loopback. Needs Debian's slurm-wlm and munge, and
# root.
#
#   slurm.sh start DIRECTORY     then: export SLURM_CONF=DIRECTORY/slurm.conf
#   slurm.sh stop DIRECTORY
#
# All it writes is in DIRECTORY, and it stops what it started, by process id.
set -euo pipefail
action=$1
mkdir -p "$2"
directory=$(cd "$2" && pwd)
export SLURM_CONF=$directory/slurm.conf

start() {
    chmod 755 "$directory"
    mkdir -p "$directory"/{munge,state,spool}
    chmod 700 "$directory/munge"
    mungekey --create --force --keyfile "$directory/munge/key"
    munged --force --key-file "$directory/munge/key" --socket "$directory/munge/socket" \
        --pid-file "$directory/munge/pid" --log-file "$directory/munge/log" \
        --seed-file "$directory/munge/seed"
    local ports
    ports=$(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))')
    cat >"$SLURM_CONF" <<END
ClusterName=resilience
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=${ports% *}
SlurmdPort=${ports#* }
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$directory/munge/socket
StateSaveLocation=$directory/state
SlurmdSpoolDir=$directory/spool
SlurmctldPidFile=$directory/slurmctld.pid
SlurmdPidFile=$directory/slurmd.pid
SlurmctldLogFile=$directory/slurmctld.log
SlurmdLogFile=$directory/slurmd.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=2
MinJobAge=10
SchedulerParameters=batch_sched_delay=0,sched_interval=2
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
    slurmctld
    slurmd
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ] && return
        sleep 0.5
    done
    echo "the node did not come up; see $directory/*.log" >&2
    exit 1
}

stop() {
    local pid file
    for file in slurmctld.pid slurmd.pid munge/pid; do
        [ -f "$directory/$file" ] || continue
        pid=$(cat "$directory/$file")
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
    done
}

case $action in
start) start ;;
stop) stop ;;
*)
    echo "usage: slurm.sh start|stop DIRECTORY" >&2
    exit 2
    ;;
esac
