"""What the training stages share: options, rows, the trainer, and the model's folder."""
