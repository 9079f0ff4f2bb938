"""Scales that speak the NCI protocol: SCP-01 and its ECR form."""
