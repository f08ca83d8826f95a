"""Making byte plans: real Keras converts made-up files, and what came where is looked up by its bytes.

```
planner      three conversions -> byte plan, or the reason why there is none
├── synthetic    files of the same layout with other numbers in them
├── solving      which output array is which array of the source, whole or in part
└── slots        what in the output's config depends on the numbers
```
"""
