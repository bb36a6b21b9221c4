"""Webhooks to the merchants' own systems: what happened becomes events, events become messages, messages are sent.

row of a trigger, change of the feed → `WebhookEvent` → one `WebhookMessage` a subscription → posted until it arrives
"""
