"""The model chain: one prompt in, one checked reply, a refusal or a reasoned wait out."""
