"""Runs under Prefect: flow, server, task runners, deployment. Nothing else imports prefect."""
