"""What is trained: one module a stage, behind `pipelines.train.stage.Stage`."""
