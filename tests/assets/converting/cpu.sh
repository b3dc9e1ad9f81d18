#!/bin/bash -l
#SBATCH --job-name preprocess
#SBATCH --ntasks 1
#SBATCH --cpus-per-task 16
#SBATCH --mem 32768
#SBATCH --tmp 50G
#SBATCH --time 04:30:00
#SBATCH --qos normal
#SBATCH --comment "nightly run"

# One pass over the raw files.
cp -r raw "$SLURM_TMPDIR"
python prepare.py --workers "$SLURM_CPUS_PER_TASK"
