import { expect, it } from 'vitest';
import { hostOf } from './discovery.ts';

// For 127.0.0.1, localhost, *.lab.example.org and relay.example.org; only its names are looked at.
const CERTIFICATE = new TextEncoder().encode(`-----BEGIN CERTIFICATE-----
MIIBujCCAV+gAwIBAgIUUlj30GeHPVZqNh+rDjkU5+ZLedEwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFcmVsYXkwHhcNMjYxMTI2MTAzNDI2WhcNMzYxMTIzMTAzNDI2
WjAQMQ4wDAYDVQQDDAVyZWxheTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABP52
MmcZgRCf2UuFiiST42yPr9RD/Awx0XflJkAaRwQRTwswlo+JQZxZinyEncaT/CAj
IJ5MYiPnJEC1nnJOofKjgZYwgZMwHQYDVR0OBBYEFD9hpIqvNvbypF+sbI9oYu45
6HNYMB8GA1UdIwQYMBaAFD9hpIqvNvbypF+sbI9oYu456HNYMA8GA1UdEwEB/wQF
MAMBAf8wQAYDVR0RBDkwN4cEfwAAAYIJbG9jYWxob3N0ghEqLmxhYi5leGFtcGxl
Lm9yZ4IRcmVsYXkuZXhhbXBsZS5vcmcwCgYIKoZIzj0EAwIDSQAwRgIhAKz2+bSJ
aX/WfCtCYiHaCy14xMV86EOsqcVbSEzRHSCwAiEA8Q2qfe3jldIXkIw0g8x+GbKW
FSHWbXjSKQtTA5vtctw=
-----END CERTIFICATE-----`);

it('[DSC-2] announces the host name that the relay has to be called by: one that it answers to, of its certificate where it has one', () => {
  expect(hostOf([], null)).toBeNull();
  expect(hostOf(['10.0.0.1:4280', 'localhost', 'relay.lan:4280'], null)).toBe('relay.lan');
  expect(hostOf([], CERTIFICATE)).toBe('relay.example.org');
  expect(hostOf(['elsewhere.example.org', 'a.lab.example.org'], CERTIFICATE)).toBe('a.lab.example.org');
});
