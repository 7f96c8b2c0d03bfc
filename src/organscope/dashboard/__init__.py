"""One local page over the stores of MLflow and Optuna, and the same as a report in Weights & Biases."""
