from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('channels', '0009_retry_queue'),
    ]

    operations = [
        migrations.AddField(
            model_name='shelfobservation',
            name='awaits_reconciliation',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddIndex(
            model_name='shelfobservation',
            index=models.Index(condition=models.Q(('awaits_reconciliation', True)), fields=['id'], name='observation_not_taken_up'),
        ),
    ]
