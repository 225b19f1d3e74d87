"""Returned mail: bounces, delivery status notifications, complaints and automatic replies, read without I/O."""
