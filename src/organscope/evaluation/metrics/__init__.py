"""Scores of segmentation and classification: arrays in, numbers out."""
