#!/usr/bin/env bash
# A training that knows nothing of Fieldbook: logistic regression of "is it an eight?" in awk.
#
#     fieldbook run -p digits -t shell -- bash train.sh --lr 0.5 --epochs 5
set -euo pipefail
lr=0.5 epochs=5
while (($#)); do
  case $1 in
    --lr) lr=$2 ;;
    --epochs) epochs=$2 ;;
    *) echo "unknown argument: $1" >&2 && exit 2 ;;
  esac
  shift 2
done
echo "training with lr=$lr for $epochs epochs" >&2
awk -v lr="$lr" -v epochs="$epochs" '
  { label[NR] = ($1 == "8"); pixels[NR] = $2 }
  END {
    for (epoch = 1; epoch <= epochs; epoch++) {
      right = loss = 0
      for (row = 1; row <= NR; row++) {
        score = bias
        for (at = 1; at <= 64; at++) {
          x[at] = (index("0123456789abcdefg", substr(pixels[row], at, 1)) - 1) / 16
          score += weight[at] * x[at]
        }
        chance = 1 / (1 + exp(-score))
        loss -= label[row] ? log(chance + 1e-12) : log(1 - chance + 1e-12)
        right += (chance > 0.5) == label[row]
        for (at = 1; at <= 64; at++) weight[at] += lr * (label[row] - chance) * x[at] / 10
        bias += lr * (label[row] - chance) / 10
      }
      printf "epoch %d: loss %.4f, accuracy %.4f\n", epoch, loss / NR, right / NR
      fflush()
    }
  }' "$(dirname "$0")/../digits/digits.txt"
