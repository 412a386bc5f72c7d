#!/bin/bash
# A study on nodes that have no other job:   sbatch [its flags] study.sh [flags of `study run`]
# More nodes or time: sbatch --nodes=8 --time=8:00:00 study.sh --budget 7h
# A time budget needs nodes of one kind: sbatch --constraint=...
#SBATCH --job-name=study
#SBATCH --exclusive
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=4:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --output=study-%j.out
export PATH=@BIN@:$PATH # the same on every node
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_ON_NODE
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
export RAY_USAGE_STATS_ENABLED=0 RAY_TMPDIR=/tmp/ray-$SLURM_JOB_ID
export RAY_worker_niceness=0 # by default whatever else runs on a node comes before the training
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300 # seconds until all nodes are there
export RAY_gcs_rpc_server_reconnect_timeout_s=10  # until the others notice that the first node has ended

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
ip=$({ getent ahostsv4 "$head"; hostname -I; } | tr ' ' '\n' | grep -E '^[0-9.]+$' | grep -vm1 '^127\.')
export RAY_ADDRESS=$ip:6379
mkdir -p "$RAY_TMPDIR"

# The command runs on the first node, as this script does: what it says goes where this script's words go, its number
# and its exit status into files.
srun ray symmetric-run --address "$RAY_ADDRESS" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus="$SLURM_CPUS_ON_NODE" \
    --object-store-memory=536870912 -- bash -c 'study run --cluster "$RAY_ADDRESS" "$@" >>"$0" 2>&1 &
        echo $! >"$RAY_TMPDIR/number"
        wait $!
        echo $? >"$RAY_TMPDIR/status"' "$PWD/study-$SLURM_JOB_ID.out" "$@" >"ray-$SLURM_JOB_ID.log" 2>&1 &
step=$!
trap 'kill -TERM $(cat "$RAY_TMPDIR/number")' TERM # comes two minutes before the time limit
while true; do
    wait $step
    kill -0 $step 2>/dev/null || break
done
status=$(cat "$RAY_TMPDIR/status" || echo 1)
[ "$status" -ne 143 ] || echo "continue with the same command: sbatch, its flags, this script${*:+$(printf ' %q' "$@")}"
srun --ntasks-per-node=1 rm -rf "$RAY_TMPDIR"
exit "$status"
