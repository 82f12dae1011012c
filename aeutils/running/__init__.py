"""What executes notebooks and reports on them: parameters, sources, execution, sweeps, reports and their commands."""
