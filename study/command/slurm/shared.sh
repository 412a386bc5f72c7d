#!/bin/bash
# A study on nodes that may also have other jobs:   sbatch [its flags] study.sh [flags of `study run`]
# More nodes, cores or time: sbatch --nodes=8 --cpus-per-task=16 --time=8:00:00 study.sh --budget 7h
# A time budget needs nodes of one kind: sbatch --constraint=...
#SBATCH --job-name=study
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=4:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --output=study-%j.out
export PATH=@BIN@:$PATH # the same on every node
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
export RAY_USAGE_STATS_ENABLED=0 RAY_TMPDIR=/tmp/ray-$SLURM_JOB_ID
export RAY_worker_niceness=0 # by default whatever else runs on a node comes before the training
log=ray-$SLURM_JOB_ID.log

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
ip=$({ getent ahostsv4 "$head"; hostname -I; } | tr ' ' '\n' | grep -E '^[0-9.]+$' | grep -vm1 '^127\.')
port=$((6400 + SLURM_JOB_ID % 3000)) # another job on this node has another one

start_ray() { # nodes, which of the job's, flags
    srun --overlap --nodes="$1" --ntasks="$1" "$2" ray start --block --object-store-memory=536870912 "${@:3}" \
        >>"$log" 2>&1 &
}
# One core of the first node is for the command itself.
start_ray 1 --nodelist="$head" --head --node-ip-address="$ip" --port="$port" --include-dashboard=false \
    --num-cpus=$((SLURM_CPUS_PER_TASK - 1))
ray=$!
until (exec 3<>"/dev/tcp/$ip/$port") 2>/dev/null; do
    kill -0 $ray 2>/dev/null || { echo "Ray did not start on $head: $log says why" >&2 && exit 1; }
    sleep 1
done
others=$((SLURM_JOB_NUM_NODES - 1))
[ $others -eq 0 ] || start_ray $others --exclude="$head" --address="$ip:$port" --num-cpus="$SLURM_CPUS_PER_TASK"
for _ in {1..300}; do # a node that takes longer joins later
    [ "$(grep -c 'Ray runtime started' "$log")" -lt "$SLURM_JOB_NUM_NODES" ] || break
    sleep 1
done

study run --cluster "$ip:$port" "$@" &
study=$!
trap 'kill -TERM $study' TERM # comes two minutes before the time limit
while true; do
    wait $study
    status=$?
    kill -0 $study 2>/dev/null || break
done
[ $status -ne 143 ] || echo "continue with the same command: sbatch, its flags, this script${*:+$(printf ' %q' "$@")}"
kill $(jobs -p) 2>/dev/null
wait
srun --overlap --ntasks-per-node=1 rm -rf "$RAY_TMPDIR"
exit $status
